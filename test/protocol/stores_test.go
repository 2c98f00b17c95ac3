package protocol

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	_ "modernc.org/sqlite"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/services/notification"
)

func createAnn(ctx context.Context, t *testing.T, n *allinone.Network) client.Options {
	t.Helper()
	_, err := n.Accounts().CreateAccounts(ctx, &directoryv1.CreateAccountsRequest{
		Accounts: []*directoryv1.NewAccount{{Email: "ann@example.com", Password: "secret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client.Options{Dispatch: n.Notification(0), Email: "ann@example.com", Password: "secret"}
}

// TestErrorOfABusyDatabase: an edit that the database does not do in time is
// 500, and the connection goes on.
func TestErrorOfABusyDatabase(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	n, err := allinone.Start(ctx, allinone.Options{DataDir: dir, Notification: notification.Config{CallTimeout: 300 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}()
	c, err := client.Login(ctx, createAnn(ctx, t, n))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	db, err := sql.Open("sqlite", filepath.Join(dir, "monarch.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	edit, err := db.BeginTx(ctx, nil) // nobody else can write from here on
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Do(ctx, "GTC", "N")
	if code := msnp.Code(0); !errors.As(err, &code) || code != msnp.CodeInternal {
		t.Errorf("GTC while the database is busy: want 500, got %v", err)
	}
	if err := c.Ping(ctx); err != nil {
		t.Errorf("behind the 500: %v", err)
	}
	if err := edit.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Do(ctx, "GTC", "N"); err != nil {
		t.Errorf("GTC when it is free again: %v", err)
	}
}

// TestErrorOfALoginWithoutRedis: a session that cannot be claimed is none. The
// client hears that the server is busy, and may try again.
func TestErrorOfALoginWithoutRedis(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	redis := miniredis.RunT(t)
	n := start(t, allinone.Options{Redis: "redis://" + redis.Addr(), Notification: notification.Config{CallTimeout: time.Second}})
	options := createAnn(ctx, t, n)
	redis.SetError("LOADING for a test")
	c, err := client.Dial(ctx, n.Notification(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var answer client.Message
	say := func(line string) {
		t.Helper()
		if err := c.Send(line); err != nil {
			t.Fatal(err)
		}
		if answer, err = c.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	say("VER 1 MSNP7")
	say("USR 2 MD5 I ann@example.com")
	sum := msnp.Respond(answer.Arg(3), options.Password)
	say("USR 3 MD5 S " + hex.EncodeToString(sum[:]))
	if answer.Text != "600 3" {
		t.Errorf("login without Redis: want 600 3, got %s", answer)
	}
	if m, err := c.Next(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("behind the 600: want the end, got %s, %v", m, err)
	}
	redis.SetError("")
	if c, err := client.Login(ctx, options); err != nil {
		t.Errorf("login when Redis is back: %v", err)
	} else {
		_ = c.Close()
	}
}
