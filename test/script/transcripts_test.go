package script_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/services/dispatch"
	"github.com/monarch-msn/monarch/services/notification"
	"github.com/monarch-msn/monarch/services/switchboard"
	"github.com/monarch-msn/monarch/test/script"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a network until the test and its subtests end.
func start(t *testing.T, opt allinone.Options) *allinone.Network {
	t.Helper()
	opt.DataDir = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := allinone.Start(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Errorf("stop the network: %v", err)
		}
	})
	return n
}

func TestTranscripts(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("nodes=%d", nodes), func(t *testing.T) {
			script.Test(t, start(t, allinone.Options{
				NotificationNodes: nodes, SwitchboardNodes: nodes,
				// What CAL refuses need not be waited for here.
				Switchboard: switchboard.Config{RefusalStep: time.Millisecond},
			}), script.Transcripts())
		})
	}
}

// TestVariants plays what differs under a setting that is off by default.
func TestVariants(t *testing.T) {
	for _, variant := range []struct {
		setting string
		options allinone.Options
	}{
		{"ver-reply-list", allinone.Options{
			Dispatch:     dispatch.Config{VERReplyList: true},
			Notification: notification.Config{VERReplyList: true},
		}},
		{"seed-literal-reg", allinone.Options{Notification: notification.Config{SeedLiteralREG: true}}},
		{"rmg-keep-contacts", allinone.Options{Notification: notification.Config{RMGKeepContacts: true}}},
		{"fnd-disabled", allinone.Options{Notification: notification.Config{FNDDisabled: true}}},
		{"mail", allinone.Options{Notification: notification.Config{Mail: true}}},
		{"challenges", allinone.Options{Notification: notification.Config{Challenges: true}}},
		// Long enough for three to meet on a busy machine.
		{"idle-time", allinone.Options{Switchboard: switchboard.Config{IdleTime: 4 * time.Second}}},
		{"max-members", allinone.Options{Switchboard: switchboard.Config{MaxMembers: 3}}},
		{"pages", allinone.Options{Notification: notification.Config{
			LoginURL: "https://login.example.com/form", SiteID: 7, Pages: map[string]string{
				"INBOX": "http://mail.example.com/inbox", "PASSWORD": "http://mail.example.com/password",
				"COMPOSE": "http://mail.example.com/compose?to={param}", "MESSAGE": "http://mail.example.com/message",
				"FOLDERS": "/folders", "PERSON": "http://mail.example.com/person/{param}",
				"MOBILE": "http://mail.example.com/mobile", "CHGMOB": "http://mail.example.com/chgmob",
				"PROFILE": "http://mail.example.com/profile?lcid={param}", "CHAT": "http://chat.example.com/",
				"N2PACCOUNT": "http://mail.example.com/n2paccount", "N2PFUND": "http://mail.example.com/n2pfund",
			},
		}}},
		{"limits", allinone.Options{Notification: notification.Config{Limits: notification.Limits{
			HandleBytes: 64, NameBytes: 20, GroupNameBytes: 10, GroupRenameBytes: 12, PhoneBytes: 5, RenameLimit: 1, StrictREG: true,
		}}}},
	} {
		t.Run(variant.setting, func(t *testing.T) {
			script.Test(t, start(t, variant.options), script.Variants(variant.setting))
		})
	}
}

// TestDrains plays what clients see of nodes that leave the service, each
// transcript on a network of its own.
func TestDrains(t *testing.T) {
	timing := cluster.Timing{Lease: 4 * time.Second, Beat: 100 * time.Millisecond, Refresh: 100 * time.Millisecond}
	for _, variant := range []struct {
		setting string
		options allinone.Options
	}{
		// Nobody is sent away before the transcript is over.
		{"drain", allinone.Options{
			NotificationNodes: 2, Timing: timing,
			Notification: notification.Config{DrainTime: time.Hour},
			Switchboard:  switchboard.Config{DrainTime: time.Hour, ArrivalTime: time.Hour},
		}},
		{"drain-time", allinone.Options{
			NotificationNodes: 2, Timing: timing,
			Notification: notification.Config{DrainTime: time.Millisecond},
			Switchboard:  switchboard.Config{DrainTime: time.Millisecond},
		}},
	} {
		scripts, err := script.Load(script.Variants(variant.setting))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scripts {
			for _, dialect := range s.Dialects() {
				t.Run(variant.setting+"/"+s.Name+"/"+dialect, func(t *testing.T) {
					t.Parallel()
					if err := s.Play(t.Context(), start(t, variant.options), dialect, time.Minute); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}
