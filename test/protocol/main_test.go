package protocol

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/monarch-msn/monarch/services/allinone"
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

// transcripts are made of rows; the name of each says which.
type transcripts struct {
	t     *testing.T
	files fstest.MapFS
}

func newTranscripts(t *testing.T) transcripts { return transcripts{t, fstest.MapFS{}} }

// add adds one transcript. The name may be any text.
func (f transcripts) add(name, dialects string, parts ...string) {
	f.t.Helper()
	file := strings.NewReplacer(" ", "-", "/", "-").Replace(name) + ".txt"
	if f.files[file] != nil {
		f.t.Fatalf("two rows are called %q", name)
	}
	text := fmt.Sprintf("%s.\n\ndialects: %s\n%s", name, dialects, strings.Join(parts, ""))
	f.files[file] = &fstest.MapFile{Data: []byte(text)}
}

// play plays all of them on two nodes, and playOn on as many as asked for.
func (f transcripts) play(opt allinone.Options) {
	f.t.Helper()
	f.playOn(2, opt)
}

func (f transcripts) playOn(nodes int, opt allinone.Options) {
	f.t.Helper()
	opt.NotificationNodes = nodes
	script.Test(f.t, start(f.t, opt), f.files)
}
