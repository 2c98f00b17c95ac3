package cluster

import (
	"fmt"
	"testing"
)

func TestMessagesArriveInOrder(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		const n = 2000
		for i := range n {
			a.Send(b.ID(), notice(fmt.Sprint(i)))
		}
		for i, got := range b.await(t, "deliver", n) {
			if got.text != fmt.Sprint(i) || got.peer != a.ID() {
				t.Fatalf("message %d is %v", i, got)
			}
		}
	})
}
