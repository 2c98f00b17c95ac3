package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// prepare makes the data directory and what has to be in it.
func prepare(f *flags) error {
	logs := filepath.Join(f.DataDir, logDir)
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	for _, name := range []string{clusterToken, accountsToken, operatorToken} {
		path := filepath.Join(f.DataDir, name)
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err == nil {
			_, err = file.WriteString(rand.Text() + "\n")
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			return fmt.Errorf("make a secret: %w", err)
		}
	}
	old, err := filepath.Glob(filepath.Join(logs, "*.log"))
	if err != nil {
		return fmt.Errorf("find the logs of the last time: %w", err)
	}
	for _, path := range old {
		if err := os.Rename(path, path+".old"); err != nil {
			return fmt.Errorf("keep the logs of the last time: %w", err)
		}
	}
	return nil
}

// Variables that name the stores.
const (
	redisVariable    = "MONARCH_TEST_REDIS"
	postgresVariable = "MONARCH_TEST_POSTGRES"
)

// database is the name of the cluster's database. It is not what anybody would
// call one of more worth.
const database = "monarch_local"

// stores returns the environment of the roles, which names the stores to them:
// unlike a command line it is nobody else's to read.
func stores() ([]string, error) {
	redis, postgres := os.Getenv(redisVariable), os.Getenv(postgresVariable)
	if redis == "" || postgres == "" {
		return nil, fmt.Errorf("%s and %s name no stores: start it with make cluster", redisVariable, postgresVariable)
	}
	u, err := url.Parse(postgres)
	if err != nil {
		return nil, fmt.Errorf("%s is no URL", postgresVariable) // it may hold a password
	}
	if err := createDatabase(postgres); err != nil {
		return nil, fmt.Errorf("create the database: %w", err)
	}
	u.Path = "/" + database
	return environment(os.Environ(), "MONARCH_REDIS="+redis, "MONARCH_DATABASE="+u.String()), nil
}

// environment is env with what is to be added, and without what else names
// stores.
func environment(env []string, add ...string) []string {
	var own []string
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case redisVariable, postgresVariable, "MONARCH_REDIS", "MONARCH_REDIS_FILE", "MONARCH_DATABASE", "MONARCH_DATABASE_FILE":
		default:
			own = append(own, v)
		}
	}
	return append(own, add...)
}

// createDatabase makes the database unless it is there.
func createDatabase(server string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // the statement is done or has failed
	_, err = conn.Exec(ctx, "CREATE DATABASE "+database)
	const duplicate = "42P04"
	if refusal := (*pgconn.PgError)(nil); errors.As(err, &refusal) && refusal.Code == duplicate {
		return nil
	}
	return err
}
