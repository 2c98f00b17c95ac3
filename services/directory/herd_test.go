package directory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// A herd of logins, as many at once as the directory lets wait and more, is let
// in or refused; the edits of those who are online are all made meanwhile.
func TestAHerdOfLogins(t *testing.T) {
	cfg := defaults(t)
	n := start(t, cfg)
	n.signUp(t, "alice", "bob")
	// Calls without a deadline would get one that a machine with other work to do
	// may not keep; the wait for a turn is bounded by the gate.
	ctx, over := context.WithTimeout(t.Context(), time.Minute)
	var in, refused atomic.Int64
	var herd sync.WaitGroup
	for range 2 * cfg.Queue {
		herd.Go(func() {
			for ctx.Err() == nil {
				_, err := n.Login(ctx, &directoryv1.LoginRequest{Email: address("bob"), Challenge: "1.2", Response: answerTo("1.2", "secret-bob")})
				if err == nil {
					_, err = n.Snapshot(ctx, &directoryv1.SnapshotRequest{Email: address("bob")})
				}
				switch {
				case ctx.Err() != nil:
				case err == nil:
					in.Add(1)
				case status.Code(err) == codes.ResourceExhausted:
					refused.Add(1)
					time.Sleep(100 * time.Millisecond) // even a herd breathes
				default:
					t.Error(err)
				}
			}
		})
	}
	var took []time.Duration
	begun := time.Now()
	for i := range uint32(15) {
		at := time.Now()
		if _, err := n.AddGroup(ctx, &directoryv1.AddGroupRequest{Edit: edit("alice", 1+2*i), Name: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := n.RemoveGroup(ctx, &directoryv1.RemoveGroupRequest{Edit: edit("alice", 2+2*i), GroupId: 1}); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(at)/2)
	}
	seconds := time.Since(begun).Seconds()
	over()
	herd.Wait()
	slices.Sort(took)
	t.Logf("figure: a herd of %d: %.0f logins a second, %.0f refused a second; an edit takes %v, the slowest %v",
		2*cfg.Queue, float64(in.Load())/seconds, float64(refused.Load())/seconds, took[len(took)/2].Round(100*time.Microsecond), took[len(took)-1].Round(100*time.Microsecond))
	if in.Load() == 0 {
		t.Error("nobody came in")
	}
}
