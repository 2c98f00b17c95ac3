package fences

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// timesOfDay are the files that may turn a moment into a time of day or back,
// and so lose what a step of a clock does not change. Durations are measured
// between two readings of time.Now, which hold that.
var timesOfDay = map[string]string{
	"internal/cluster/epoch.go":            "takes the clock of Redis, which it keeps from stepping back",
	"internal/cluster/member.go":           "says when the process started, for people",
	"internal/front/outbox.go":             "wants a moment that is long past",
	"services/notification/hub.go":         "measures deliveries by the clock of Redis, for people",
	"services/notification/login.go":       "tells clients the time of their login",
	"services/operator/accounts.go":        "shows when an account was created",
	"services/operator/nodes.go":           "shows when a node started",
	"services/directory/store/unlock.go":   "keeps when a key was first used",
	"services/directory/store/accounts.go": "keeps when an account was created",
}

var timeOfDay = regexp.MustCompile(`\.Unix(Milli|Micro|Nano)?\(|\.Round\(0\)`)

// Clocks of nodes differ and step. Nothing is decided by a time of day.
func TestWhoGoesByTheTimeOfDay(t *testing.T) {
	found := make(map[string]bool)
	for _, p := range listed(t) {
		name := p.name()
		for _, file := range p.GoFiles {
			at := name + "/" + file
			source, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if !timeOfDay.Match(source) || !serves.MatchString(at) {
				continue
			}
			found[at] = true
			if timesOfDay[at] == "" {
				t.Errorf("%s turns a moment into a time of day, by which nothing may be decided: measure with time.Since, or say here what it is for", at)
			}
		}
	}
	for at := range timesOfDay {
		if !found[at] {
			t.Errorf("%s is allowed to use a time of day, and does not", at)
		}
	}
}

// serves matches the code of the servers.
var serves = regexp.MustCompile(`^(internal|services)/`)
