package main

import (
	"slices"
	"strings"
	"testing"
)

func TestEndpoints(t *testing.T) {
	pod := podFlags{Name: "monarch-notification-12", HostIP: "192.0.2.7", NodeName: "worker-3"}
	for name, c := range map[string]struct {
		listen, advertise string
		pod               podFlags
		want              []endpoint
		fault             string
	}{
		"one listener": {
			listen: ":1863", advertise: "chat.example.org:1863",
			want: []endpoint{{"", ":1863", "chat.example.org:1863"}},
		},
		"a listener with a host advertises itself": {
			listen: "10.0.0.5:1863",
			want:   []endpoint{{"", "10.0.0.5:1863", "10.0.0.5:1863"}},
		},
		"a wildcard has no address of its own": {
			listen: ":1863",
			want:   []endpoint{{"", ":1863", ""}},
		},
		"several, in another order": {
			listen: "lan=:1863, wan=:1864", advertise: "wan=chat.example.org:31001,lan=10.0.0.5:1863",
			want: []endpoint{{"lan", ":1863", "10.0.0.5:1863"}, {"wan", ":1864", "chat.example.org:31001"}},
		},
		"a port chosen by the system, reached through another": {
			listen: "127.0.0.1:0", advertise: "127.0.0.1:1999",
			want: []endpoint{{"", "127.0.0.1:0", "127.0.0.1:1999"}},
		},
		"a loopback address, for a network on one machine": {
			listen: ":1864", advertise: "127.0.0.1:1864",
			want: []endpoint{{"", ":1864", "127.0.0.1:1864"}},
		},
		"a name within a network of containers": {
			listen: ":1863", advertise: "notification_1:1863",
			want: []endpoint{{"", ":1863", "notification_1:1863"}},
		},
		"IPv6": {
			listen: "[::]:1863", advertise: "[2001:db8::5]:1863",
			want: []endpoint{{"", "[::]:1863", "[2001:db8::5]:1863"}},
		},
		"templates": {
			listen: "a=:1863,b=:1864,c=:1865", advertise: "a={podName}.chat.example.org:1{index},b={hostIP}:{31000+index},c={nodeName}:1863",
			pod: pod,
			want: []endpoint{
				{"a", ":1863", "monarch-notification-12.chat.example.org:112"},
				{"b", ":1864", "192.0.2.7:31012"},
				{"c", ":1865", "worker-3:1863"},
			},
		},
		"an index of its own": {
			listen: ":1863", advertise: "chat.example.org:{31000+index}", pod: podFlags{Name: "pod-x", Index: "3"},
			want: []endpoint{{"", ":1863", "chat.example.org:31003"}},
		},
		"an IPv6 host address gets its brackets": {
			listen: ":1863", advertise: "{hostIP}:1863", pod: podFlags{HostIP: "2001:db8::5"},
			want: []endpoint{{"", ":1863", "[2001:db8::5]:1863"}},
		},

		"what Kubernetes is asked for is left": {
			listen: "lan=:1863,wan=:1864", advertise: "lan={externalIP}:{1863+index},wan={loadBalancer}:1864", pod: pod,
			want: []endpoint{{"lan", ":1863", "{externalIP}:1875"}, {"wan", ":1864", "{loadBalancer}:1864"}},
		},

		"an empty listener":             {listen: " ", fault: "--listen is empty"},
		"a wildcard":                    {listen: ":1863", advertise: ":1863", fault: "--advertise :1863: nobody can be sent to a wildcard"},
		"the IPv4 wildcard":             {listen: ":1863", advertise: "0.0.0.0:1863", fault: "wildcard"},
		"the IPv6 wildcard":             {listen: ":1863", advertise: "[::]:1863", fault: "wildcard"},
		"the IPv4 wildcard within IPv6": {listen: ":1863", advertise: "[::ffff:0.0.0.0]:1863", fault: "wildcard"},
		"a star":                        {listen: ":1863", advertise: "*:1863", fault: `"*" is no host`},
		"no port":                       {listen: ":1863", advertise: "chat.example.org", fault: "want host:port"},
		"port 0":                        {listen: ":1863", advertise: "chat.example.org:0", fault: "port 0 cannot be reached"},
		"a port too high":               {listen: ":1863", advertise: "chat.example.org:65536", fault: `"65536" is no port`},
		"a URL":                         {listen: ":1863", advertise: "tcp://chat.example.org:1863", fault: "--advertise"},
		"a host with a port":            {listen: ":1863", advertise: "[chat.example.org:1863]:29864", fault: `"chat.example.org:1863" is no host`},
		"a character of no host":        {listen: ":1863", advertise: "chat_example!:1863", fault: `"chat_example!" is no host`},
		"a line break":                  {listen: ":1863", advertise: "chat\r\nOUT:1863", fault: "is no host"},
		"a listener that is no address": {listen: "1863", fault: "--listen 1863: want host:port"},
		"names missing":                 {listen: ":1863,:1864", fault: "each of several addresses needs a name"},
		"a name twice":                  {listen: "lan=:1863,lan=:1864", fault: "the name lan stands there twice"},
		"a bad name":                    {listen: "l n=:1863", fault: `letters, digits and -, not "l n"`},
		"an empty name":                 {listen: "=:1863", fault: "letters, digits and -"},
		"one address too few":           {listen: "lan=:1863,wan=:1864", advertise: "lan=10.0.0.5:1863", fault: "--advertise has no address for the listener wan=:1864"},
		"one address too many":          {listen: "lan=:1863", advertise: "lan=10.0.0.5:1863,wan=10.0.0.6:1863", fault: "--advertise wan=10.0.0.6:1863: --listen has no listener of that name"},
		"a name on one side":            {listen: ":1863", advertise: "lan=10.0.0.5:1863", fault: "--advertise has no address for the listener :1863"},
		"an unknown template":           {listen: ":1863", advertise: "{pod}:1863", fault: "{pod} is no template"},
		"a sum that is none":            {listen: ":1863", advertise: "a.example.org:{x+index}", pod: pod, fault: "{x+index} is no template"},
		"an open template":              {listen: ":1863", advertise: "{podName:1863", fault: "not closed by }"},
		"a template that is unknown":    {listen: ":1863", advertise: "{hostIP}:1863", fault: "{hostIP} is unknown here: set --pod.host-ip"},
		"a node that is unknown":        {listen: ":1863", advertise: "{externalIP}:1863", fault: "{externalIP} is unknown here: set --pod.node-name"},
		"a pod without an index":        {listen: ":1863", advertise: "a.example.org:3100{index}", pod: podFlags{Name: "pod7"}, fault: "{index} is unknown here: set --pod.index"},
		"an index that is no number":    {listen: ":1863", advertise: "a.example.org:{31000+index}", pod: podFlags{Index: "x"}, fault: `--pod.index "x" is no number`},
		"a sum beyond the ports":        {listen: ":1863", advertise: "a.example.org:{65535+index}", pod: pod, fault: `"65547" is no port`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := clientFlags{Listen: c.listen, Advertise: c.advertise, Pod: c.pod}.endpoints()
			switch {
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
				t.Errorf("want the fault %q, got %v with %+v", c.fault, err, got)
			case c.fault == "" && err != nil:
				t.Errorf("want no fault, got %v", err)
			case c.fault == "" && !slices.Equal(got, c.want):
				t.Errorf("\nwant %+v\ngot  %+v", c.want, got)
			}
		})
	}
}
