package lab

import (
	"context"
	"fmt"
	"os"
)

// Main runs the tests of a package that uses this one, by run, and returns their
// exit status. TestMain must call it, and nothing before: the programs are built
// first, if they are not in the user's cache, and then the test binary is started
// again in namespaces of its own, as [Isolate] says.
func Main(programs []string, run func() int) (status int) {
	if os.Getenv(binEnv) == "" { // or they are there, and this may be in the namespaces
		// Nobody wants to hear of it after a quarter of an hour.
		err := Possible()
		var bin string
		if err == nil {
			bin, err = Build(context.Background(), programs)
		}
		if err == nil {
			err = os.Setenv(binEnv, bin)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "lab: %v\n", err)
			return 1
		}
	}
	return Isolate(run)
}
