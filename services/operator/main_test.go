package operator

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain finds goroutines that outlive the services they belong to. The Redis
// library tries a server that is gone once a second, and notices that its client
// is closed only then.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
