//go:build !linux

package load

import "time"

// alarm waits for moments, as exactly as the runtime does.
type alarm struct{}

func newAlarm() alarm               { return alarm{} }
func (alarm) sleep(d time.Duration) { time.Sleep(d) }
func (alarm) close()                {}
