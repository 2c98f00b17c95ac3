package node

import (
	"runtime"
	"runtime/debug"
	"sync"
)

// Build says what was built, as far as the toolchain wrote it down.
type Build struct {
	Version string // "v1.2.3", a pseudo-version, or "devel"
	Commit  string // revision, with "-dirty" if the tree had changes; "" if unknown
	Go      string // "go1.26.8"
}

// Version returns what this program was built from.
var Version = sync.OnceValue(func() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "devel", Go: runtime.Version()}
	}
	return readBuild(info)
})

func readBuild(info *debug.BuildInfo) Build {
	b := Build{Version: info.Main.Version, Go: info.GoVersion}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if b.Commit != "" && dirty {
		b.Commit += "-dirty"
	}
	return b
}
