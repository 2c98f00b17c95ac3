package script

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// drain takes a node out of service, or puts it back.
type drain struct {
	role   string
	node   int // from 1
	resume bool
}

// parseDrain reads "notification 2".
func parseDrain(resume bool, args []string) (action, error) {
	if len(args) != 2 || args[0] != "notification" && args[0] != "switchboard" {
		return nil, errors.New("want notification N or switchboard N")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 1 {
		return nil, errors.New("nodes are numbered from 1")
	}
	return drain{args[0], n, resume}, nil
}

func (a drain) do(t *turn) error {
	d, ok := t.network.(Drainer)
	if !ok {
		return errors.New("the nodes of this network cannot be drained")
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.timeout)
	defer cancel()
	tell := d.DrainNode
	if a.resume {
		tell = d.ResumeNode
	}
	if err := tell(ctx, a.role, a.node-1); err != nil {
		return fmt.Errorf("%s %d: %w", a.role, a.node, err)
	}
	return nil
}
