package front

import "sync"

// A crew does the work of the connections of one Serve: reading and handling
// what clients have sent, and writing to them. The work waits in one queue, in
// the order in which it came up, and that order makes writes few: what is sent
// to a connection lies behind all that was readable before, and by the time its
// turn comes more has gathered for it, while at rest its turn comes at once.
//
// A handler may block, so there is no fixed number of workers. Where the queue
// is not empty somebody is on the way to it: each worker that takes something
// and leaves something calls one more, unless one was called and has not come
// yet. So few are busy where nobody blocks, and as many as it takes where they
// do: one for each connection at most.
type crew struct {
	mu     sync.Mutex
	tasks  queue
	asleep int
	called bool // somebody was called, and has not come yet
	over   bool

	wake    sync.Cond // of those asleep
	workers sync.WaitGroup
}

// A task is what has to be done for a connection. Each is there for one reading
// and one writing at most, so that the queue is bounded by the connections.
type task struct {
	conn *Conn
	do   func(*Conn)
}

// maxAsleep is how many workers are kept where there is no work. With the
// stacks that they have grown it takes about half a megabyte.
const maxAsleep = 32

func newCrew() *crew {
	w := new(crew)
	w.wake.L = &w.mu
	return w
}

// put adds the same work for each of the connections. It never blocks.
func (w *crew) put(do func(*Conn), conns ...*Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		w.tasks.push(task{c, do})
	}
	w.call()
}

// call has a worker come if there is work. The caller holds mu.
func (w *crew) call() {
	switch {
	case w.called || w.tasks.empty():
	case w.asleep > 0:
		w.called = true
		w.wake.Signal()
	default:
		w.called = true
		w.workers.Go(w.work)
	}
}

// work is the life of a worker.
func (w *crew) work() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.called = false
	for {
		for w.tasks.empty() {
			if w.over || w.asleep == maxAsleep {
				return
			}
			w.asleep++
			w.wake.Wait()
			w.asleep--
			w.called = false
		}
		t := w.tasks.pop()
		w.call()
		w.mu.Unlock()
		t.do(t.conn)
		w.mu.Lock()
	}
}

// stop returns when there is no worker any more. There must be no work, nor
// any to come.
func (w *crew) stop() {
	w.mu.Lock()
	w.over = true
	w.wake.Broadcast()
	w.mu.Unlock()
	w.workers.Wait()
}

// queue is first in, first out.
type queue struct {
	tasks []task
	first int
}

func (q *queue) empty() bool { return q.first == len(q.tasks) }

func (q *queue) push(t task) {
	if len(q.tasks) == cap(q.tasks) && q.first > len(q.tasks)/2 {
		n := copy(q.tasks, q.tasks[q.first:])
		clear(q.tasks[n:])
		q.tasks, q.first = q.tasks[:n], 0
	}
	q.tasks = append(q.tasks, t)
}

func (q *queue) pop() task {
	t := q.tasks[q.first]
	q.tasks[q.first] = task{}
	q.first++
	if q.empty() {
		q.tasks, q.first = q.tasks[:0], 0
	}
	return t
}
