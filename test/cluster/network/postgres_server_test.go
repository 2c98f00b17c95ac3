package network

import (
	"errors"
	"testing"
	"time"
)

// count reads how many rows were acknowledged.
func count(t *testing.T, p *Postgres) int {
	t.Helper()
	var n int
	if err := p.primary().query(t.Context(), &n, "SELECT count(*) FROM told"); err != nil {
		t.Fatal(err)
	}
	return n
}

func mustRun(t *testing.T, p *Postgres, statement string) {
	t.Helper()
	if err := execute(p.primary().url(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestPostgresKeepsWhatItAcknowledged(t *testing.T) {
	RequireStores(t)
	p := StartPostgresPair(t)
	mustRun(t, p, "CREATE TABLE told (x int)")
	rows := 0
	for name, fault := range map[string]func() error{
		"restart": func() error { return p.Restart(t.Context()) },
		"crash":   func() error { return errors.Join(p.Crash(), p.Start(t.Context())) },
		"failover": func() error {
			return errors.Join(p.Failover(t.Context()), p.Rejoin(t.Context()))
		},
		"failover back": func() error {
			return errors.Join(p.Failover(t.Context()), p.Rejoin(t.Context()))
		},
	} {
		mustRun(t, p, "INSERT INTO told VALUES (1)")
		rows++
		begin := time.Now()
		if err := fault(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s took %v", name, time.Since(begin))
		if got := count(t, p); got != rows {
			t.Errorf("%s: want %d rows, got %d", name, rows, got)
		}
	}
}

func TestPostgresOnAFullDisk(t *testing.T) {
	RequireStores(t)
	disk := SmallDisk(t, 96<<20)
	p := StartPostgresOnDisk(t, disk)
	mustRun(t, p, "CREATE TABLE told (x text)")
	if err := disk.Fill(); err != nil {
		t.Fatal(err)
	}
	rows := 0
	for execute(p.primary().url(), "INSERT INTO told SELECT repeat('x', 100) FROM generate_series(1, 1000)") == nil {
		rows += 1000
	}
	t.Logf("%d rows fitted, the server runs: %v", rows, p.Running())
	if err := errors.Join(disk.Empty(), p.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := count(t, p); got != rows {
		t.Errorf("want %d rows, got %d", rows, got)
	}
}
