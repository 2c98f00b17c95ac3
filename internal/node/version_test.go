package node

import (
	"runtime/debug"
	"testing"
)

func TestReadBuild(t *testing.T) {
	setting := func(k, v string) debug.BuildSetting { return debug.BuildSetting{Key: k, Value: v} }
	for name, c := range map[string]struct {
		info debug.BuildInfo
		want Build
	}{
		"a release": {
			debug.BuildInfo{
				GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"},
				Settings: []debug.BuildSetting{setting("vcs.revision", "abc"), setting("vcs.modified", "false")},
			},
			Build{"v1.2.3", "abc", "go1.26.8"},
		},
		"a changed tree": {
			debug.BuildInfo{
				GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.4-0.20260101000000-abc+dirty"},
				Settings: []debug.BuildSetting{setting("vcs.revision", "abc"), setting("vcs.modified", "true")},
			},
			Build{"v1.2.4-0.20260101000000-abc+dirty", "abc-dirty", "go1.26.8"},
		},
		"a tree without history": {
			debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"}},
			Build{"devel", "", "go1.26.8"},
		},
	} {
		if got := readBuild(&c.info); got != c.want {
			t.Errorf("%s: want %+v, got %+v", name, c.want, got)
		}
	}
}
