package cluster

import "testing"

func TestHears(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		hears := func() bool {
			t.Helper()
			heard, err := a.c.Hears(t.Context(), b.ID())
			if err != nil {
				t.Fatal(err)
			}
			return heard
		}
		if !hears() {
			t.Error("a node that runs: want its inbox heard")
		}
		b.kill()
		a.until(t, "the inbox of a dead node is heard by nobody", func() bool { return !hears() })
	})
}
