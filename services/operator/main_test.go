package operator

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain finds goroutines that outlive the services they belong to.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
