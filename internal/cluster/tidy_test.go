package cluster

import (
	"testing"
)

// Redis has lost that users left: they are taken out, and whoever is here stays.
func TestMembersWhoHaveLeftAreTakenOut(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t, func(cfg *MemberConfig) {
			cfg.Has = func(email string) bool { return email == "alice@example.com" }
		})
		ctx, c := t.Context(), e.client(t)
		login(t, a, "alice@example.com")
		ghost := login(t, a, "ghost@example.com") // has a record, but no session
		if err := c.rdb.SAdd(ctx, c.keys.members(a.ID()), "lost@example.com").Err(); err != nil {
			t.Fatal(err)
		}
		dropped, err := a.tidyOnce(ctx)
		if err != nil || dropped != 2 {
			t.Errorf("took out %d, %v, want 2", dropped, err)
		}
		members, err := c.rdb.SMembers(ctx, c.keys.members(a.ID())).Result()
		if err != nil || len(members) != 1 || members[0] != "alice@example.com" {
			t.Errorf("members: %v, %v", members, err)
		}
		if got := place(t, c, "alice@example.com"); got.GetNode() != a.ID() {
			t.Errorf("alice is at %v", got)
		}
		if got := place(t, c, "ghost@example.com"); got != nil {
			t.Errorf("a ghost is at %v", got)
		}
		if err := a.Release(ctx, ghost); err != nil {
			t.Errorf("its late release: %v", err)
		}
	})
}
