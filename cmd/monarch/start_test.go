package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAwait(t *testing.T) {
	away, broken := errors.New("away"), errors.New("broken")
	passing := func(err error) bool { return errors.Is(err, away) }
	quiet := func(error, time.Duration) {}

	t.Run("until the store is there", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			err := await(t.Context(), quiet, time.Minute, passing, func(context.Context) error {
				if tries++; tries < 5 {
					return away
				}
				return nil
			})
			if err != nil || tries != 5 {
				t.Errorf("want 5 tries and no error, got %d and %v", tries, err)
			}
		})
	})
	t.Run("until the time is over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			err := await(t.Context(), quiet, time.Minute, passing, func(context.Context) error { return away })
			if !errors.Is(err, away) || !strings.Contains(err.Error(), "given up after 1m0s, see --start.timeout") {
				t.Errorf("want the last error and why it is the last, got %v", err)
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("want an end within a minute, got one after %s", took)
			}
		})
	})
	t.Run("but not an error that stays", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			err := await(t.Context(), quiet, time.Minute, passing, func(context.Context) error { return broken })
			if err != broken || time.Since(begin) > 0 {
				t.Errorf("want the error at once, got %v after %s", err, time.Since(begin))
			}
		})
	})
	t.Run("and not after the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			tell := func(err error, _ time.Duration) { t.Errorf("want no word of waiting, got %v", err) }
			err := await(ctx, tell, time.Minute, passing, func(context.Context) error {
				cancel()
				return away
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("want the end of the context, got %v", err)
			}
		})
	})
}
