package front

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTasksAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tasks Tasks
		tasks.Wait() // for nothing
		var ended atomic.Int32
		for i := range 3 {
			tasks.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				// One sets off another before it ends.
				tasks.Go(func() {
					time.Sleep(time.Second)
					ended.Add(1)
				})
			})
		}
		tasks.Wait()
		if n := ended.Load(); n != 3 {
			t.Errorf("%d of 3 tasks had ended", n)
		}
	})
}

// With a sync.WaitGroup this panics now and then: a task begins when a waiter has
// been told that there are none, and has not returned yet.
func TestTasksBeginWhileSomebodyWaits(t *testing.T) {
	var tasks Tasks
	var begun, ended atomic.Int64
	stop := make(chan struct{})
	feeding := make(chan struct{})
	go func() {
		defer close(feeding)
		for {
			select {
			case <-stop:
				return
			default:
				begun.Add(1)
				tasks.Go(func() { ended.Add(1) })
			}
		}
	}()
	for range 1000 {
		tasks.Wait()
	}
	close(stop)
	<-feeding
	tasks.Wait()
	if begun.Load() != ended.Load() {
		t.Errorf("%d tasks begun, %d ended", begun.Load(), ended.Load())
	}
}
