package switchboard

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/monarch-msn/monarch/msnp"
)

// metrics are those of the switchboard service; connections and the cluster
// have their own.
type metrics struct {
	messages    map[messageLabel]*atomic.Int64
	notices     metric.Int64Counter
	invitations metric.Int64Counter
}

func newMetrics(meter metric.Meter, s *Service) (*metrics, error) {
	var m metrics
	var errs [5]error
	messages, err := meter.Int64ObservableCounter("monarch_switchboard_messages",
		metric.WithDescription("Messages of members, by mode and whether all others got them."))
	errs[0] = err
	m.notices, errs[1] = meter.Int64Counter("monarch_switchboard_notices_dropped",
		metric.WithDescription("Messages of mode U left out for members who do not keep up."))
	m.invitations, errs[2] = meter.Int64Counter("monarch_switchboard_invitations",
		metric.WithDescription("Calls of members, by outcome."))
	rooms, err := meter.Int64ObservableUpDownCounter("monarch_switchboard_rooms",
		metric.WithDescription("Conversations on the switchboards of this process."))
	errs[3] = err
	members, err := meter.Int64ObservableUpDownCounter("monarch_switchboard_members",
		metric.WithDescription("People in the conversations on the switchboards of this process."))
	errs[4] = err
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	m.messages = make(map[messageLabel]*atomic.Int64)
	for l := range messageLabels {
		m.messages[l] = new(atomic.Int64)
	}
	// Several nodes in one process add up.
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(rooms, int64(s.Rooms()))
		o.ObserveInt64(members, int64(s.Members()))
		for l, n := range m.messages {
			o.ObserveInt64(messages, n.Load(), messageLabels[l])
		}
		return nil
	}, rooms, members, messages)
	if err != nil {
		return nil, err
	}
	// A rate over a series that appears with its first event misses that event.
	ctx := context.Background()
	for _, set := range outcomeLabels {
		m.invitations.Add(ctx, 0, metric.WithAttributeSet(set))
	}
	m.notices.Add(ctx, 0)
	return &m, nil
}

type messageLabel struct {
	mode      string
	delivered bool
}

var messageLabels = func() map[messageLabel]metric.MeasurementOption {
	sets := make(map[messageLabel]metric.MeasurementOption)
	for _, mode := range []string{"U", "N", "A"} {
		for _, delivered := range []bool{true, false} {
			sets[messageLabel{mode, delivered}] = metric.WithAttributeSet(attribute.NewSet(
				attribute.String("mode", mode), attribute.Bool("delivered", delivered)))
		}
	}
	return sets
}()

// message counts one. A counter of the SDK would cost as much as the whole rest
// of handling it.
func (m *metrics) message(mode string, delivered bool) {
	m.messages[messageLabel{mode, delivered}].Add(1)
}

// outcome is what came of a call, as a label.
type outcome string

const (
	outcomeRinging outcome = "ringing"
	outcomeNo      outcome = "not_online" // or hidden, or blocked
	outcomeThere   outcome = "already_there"
	outcomeFull    outcome = "session_full"
	outcomeName    outcome = "invalid_name"
	outcomeFault   outcome = "fault"
)

// outcomes tells what a code of CAL counts as; what is not there is a fault.
var outcomes = map[msnp.Code]outcome{
	msnp.CodeNotOnline:       outcomeNo,
	msnp.CodeAlreadyThere:    outcomeThere,
	msnp.CodeSessionFull:     outcomeFull,
	msnp.CodeInvalidUserName: outcomeName,
}

var outcomeLabels = func() map[outcome]attribute.Set {
	sets := make(map[outcome]attribute.Set)
	for _, o := range []outcome{outcomeRinging, outcomeNo, outcomeThere, outcomeFull, outcomeName, outcomeFault} {
		sets[o] = attribute.NewSet(attribute.String("outcome", string(o)))
	}
	return sets
}()

func (m *metrics) invitation(ctx context.Context, err error) {
	o := outcomeRinging
	if err != nil {
		o = outcomeFault
		var code msnp.Code
		if errors.As(err, &code) && outcomes[code] != "" {
			o = outcomes[code]
		}
	}
	m.invitations.Add(ctx, 1, metric.WithAttributeSet(outcomeLabels[o]))
}
