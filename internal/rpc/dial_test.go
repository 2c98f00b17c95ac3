package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/status"

	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

func TestCallWithoutADeadlineGetsOne(t *testing.T) {
	d := &directory{login: func(ctx context.Context, _ *directoryv1.LoginRequest) (*directoryv1.LoginResponse, error) {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}}
	client := directoryv1.NewDirectoryClient(
		inMemory(t, rpc.ServerOptions{}, rpc.DialOptions{Timeout: 10 * time.Millisecond}, d.register))
	_, err := client.Login(context.Background(), &directoryv1.LoginRequest{})
	if status.Code(err) != codes.DeadlineExceeded || !rpc.Unavailable(err) {
		t.Errorf("want %v, which is unavailable, got %v", codes.DeadlineExceeded, err)
	}
}

func TestDeadlineOfTheCallerStands(t *testing.T) {
	left := make(chan time.Duration, 1)
	d := &directory{login: func(ctx context.Context, _ *directoryv1.LoginRequest) (*directoryv1.LoginResponse, error) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		return &directoryv1.LoginResponse{}, nil
	}}
	client := directoryv1.NewDirectoryClient(inMemory(t, rpc.ServerOptions{}, rpc.DialOptions{}, d.register))
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := client.Login(ctx, &directoryv1.LoginRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := <-left; got < rpc.DefaultTimeout {
		t.Errorf("deadline of the call: want about an hour, got %v", got)
	}
}

func TestOnlyReadsAreRepeated(t *testing.T) {
	away := status.Error(codes.Unavailable, "database is restarting")
	d := new(directory)
	failTwice := func(method string) error {
		if d.count(method) <= 2 {
			return away
		}
		return nil
	}
	d.snapshot = func(context.Context) (*directoryv1.SnapshotResponse, error) {
		return &directoryv1.SnapshotResponse{}, failTwice(directoryv1.Directory_Snapshot_FullMethodName)
	}
	d.versions = func(context.Context) (*directoryv1.VersionsResponse, error) {
		return &directoryv1.VersionsResponse{}, failTwice(directoryv1.Directory_Versions_FullMethodName)
	}
	d.login = func(context.Context, *directoryv1.LoginRequest) (*directoryv1.LoginResponse, error) {
		return &directoryv1.LoginResponse{}, failTwice(directoryv1.Directory_Login_FullMethodName)
	}
	d.addMember = func(context.Context) (*directoryv1.EditResponse, error) {
		return &directoryv1.EditResponse{}, failTwice(directoryv1.Directory_AddMember_FullMethodName)
	}
	d.account = func(context.Context) (*directoryv1.GetAccountResponse, error) { return nil, away }
	conn := inMemory(t, rpc.ServerOptions{}, rpc.DialOptions{}, d.register)
	client := directoryv1.NewDirectoryClient(conn)
	if _, err := client.Snapshot(t.Context(), &directoryv1.SnapshotRequest{}); err != nil {
		t.Errorf("Snapshot: %v", err)
	}
	if _, err := client.Versions(t.Context(), &directoryv1.VersionsRequest{}); err != nil {
		t.Errorf("Versions: %v", err)
	}
	if _, err := client.Login(t.Context(), &directoryv1.LoginRequest{}); err != nil {
		t.Errorf("Login: %v", err)
	}
	if _, err := client.AddMember(t.Context(), &directoryv1.AddMemberRequest{}); err != nil {
		t.Errorf("AddMember: %v", err)
	}
	accounts := directoryv1.NewAccountsClient(conn)
	if _, err := accounts.GetAccount(t.Context(), &directoryv1.GetAccountRequest{}); !rpc.Unavailable(err) {
		t.Errorf("GetAccount: want it unavailable, got %v", err)
	}
	if got := d.count(directoryv1.Accounts_GetAccount_FullMethodName); got != 1 {
		t.Errorf("attempts of GetAccount: want 1, got %d", got)
	}
}

func TestLargestSnapshotPasses(t *testing.T) {
	name := strings.Repeat("%D0%96", 64)
	snapshot := &directoryv1.Snapshot{}
	for range 150 + 600 + 600 + 5000 {
		snapshot.Members = append(snapshot.Members, &directoryv1.Member{
			Email: strings.Repeat("a", 129), ForwardName: name, Friendly: name,
		})
	}
	d := &directory{snapshot: func(context.Context) (*directoryv1.SnapshotResponse, error) {
		return &directoryv1.SnapshotResponse{Snapshot: snapshot}, nil
	}}
	client := directoryv1.NewDirectoryClient(inMemory(t, rpc.ServerOptions{}, rpc.DialOptions{}, d.register))
	r, err := client.Snapshot(t.Context(), &directoryv1.SnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(r.GetSnapshot().GetMembers()); got != len(snapshot.Members) {
		t.Errorf("members: want %d, got %d", len(snapshot.Members), got)
	}
}

func TestCallsAreSpreadOverServersThatServe(t *testing.T) {
	var servers [2]directory
	var healths [2]*health.Server
	var addrs []string
	for i := range servers {
		ln := listen(t)
		healths[i] = health.NewServer()
		serve(t, ln, rpc.ServerOptions{Health: healths[i]}, servers[i].register)
		addrs = append(addrs, ln.Addr().String())
	}
	client := directoryv1.NewDirectoryClient(dial(t, strings.Join(addrs, ", "), rpc.DialOptions{}))
	count := func(i int) int { return servers[i].count(directoryv1.Directory_Login_FullMethodName) }
	login := func() {
		t.Helper()
		if _, err := client.Login(t.Context(), &directoryv1.LoginRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both servers are called", func() bool {
		login()
		return count(0) > 0 && count(1) > 0
	})
	healths[0].Shutdown()
	eventually(t, "only the one that serves is called", func() bool {
		before := count(0)
		for range 10 {
			login()
		}
		return count(0) == before
	})
}

func TestServerThatComesLaterIsFound(t *testing.T) {
	ln := listen(t)
	addr := ln.Addr().String()
	ln.Close()
	client := directoryv1.NewDirectoryClient(dial(t, addr, rpc.DialOptions{}))
	if _, err := client.Login(t.Context(), &directoryv1.LoginRequest{}); !rpc.Unavailable(err) {
		t.Errorf("a server that is not there: want it unavailable, got %v", err)
	}
	for range 2 { // and again after a restart
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		stop := serve(t, ln, rpc.ServerOptions{}, new(directory).register)
		eventually(t, "the server is found", func() bool {
			_, err := client.Login(t.Context(), &directoryv1.LoginRequest{})
			return err == nil
		})
		stop()
	}
}

func TestServerThatDiesAmidACall(t *testing.T) {
	ln := listen(t)
	entered := make(chan struct{})
	d := &directory{login: func(ctx context.Context, _ *directoryv1.LoginRequest) (*directoryv1.LoginResponse, error) {
		close(entered)
		<-ctx.Done()
		return nil, io.ErrUnexpectedEOF
	}}
	stop := serve(t, ln, rpc.ServerOptions{}, d.register)
	client := directoryv1.NewDirectoryClient(dial(t, ln.Addr().String(), rpc.DialOptions{}))
	result := make(chan error)
	go func() {
		_, err := client.Login(t.Context(), &directoryv1.LoginRequest{})
		result <- err
	}()
	<-entered
	stop()
	if err := <-result; !rpc.Unavailable(err) {
		t.Errorf("want it unavailable, got %v", err)
	}
}

func TestTargetThatCannotBeUnderstood(t *testing.T) {
	for _, target := range []string{
		"directory\n:7863", "one:7863,", "one:7863,two", "one:7863,:7863", "one:7863,two:", ",", "one:7863,,two:7863",
		"", "127.0.0.1", "::1", "directory", "directory:", ":7863", "directory:port", "directory:0", "directory:70000",
		"foo bar", "foo bar:7863", "http://127.0.0.1:7863", "http://directory", "dns:///directory", "dns:directory",
	} {
		if rpc.CheckTarget(target) == nil {
			t.Errorf("%q: want something to be wrong with it", target)
		}
		conn, err := rpc.Dial(target, rpc.DialOptions{})
		if err == nil {
			conn.Close()
			t.Errorf("%q: want an error, got none", target)
			continue
		}
		if !strings.HasPrefix(err.Error(), fmt.Sprintf("dial %q: ", target)) || errors.Unwrap(err) == nil {
			t.Errorf("want the target and the cause in it, got %v", err)
		}
	}
}

func TestTargetsThatAreUnderstood(t *testing.T) {
	for _, target := range []string{
		"directory:7863", "directory_1.example.org:7863", "127.0.0.1:7863", "[::1]:7863", "one:7863, two:7864",
		"dns:///directory:7863", "dns://10.0.0.1/directory:7863", "dns:directory:7863", "passthrough:///directory", "unix:///run/directory.sock",
	} {
		if err := rpc.CheckTarget(target); err != nil {
			t.Errorf("%q: %v", target, err)
		}
		conn, err := rpc.Dial(target, rpc.DialOptions{})
		if err != nil {
			t.Error(err)
			continue
		}
		conn.Close()
	}
}
