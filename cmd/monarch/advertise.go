package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/monarch-msn/monarch/internal/node"
)

// clientFlags say where a role listens for clients and where they reach it.
type clientFlags struct {
	Listen    string   `name:"listen" default:":1863" placeholder:"ADDR" help:"Address to listen on for clients, or one for each of several named listeners: lan=:1863,wan=:1864."`
	Advertise string   `name:"advertise" placeholder:"HOST:PORT" help:"Address that clients are sent to, or one for each named listener: lan=10.0.0.5:1863,wan=chat.example.org:31001. Templates: {index}, {31000+index}, {podName}, {hostIP}, {nodeName}; {loadBalancer} and {externalIP}, which are asked of Kubernetes."`
	Pod       podFlags `embed:""`
}

// podFlags fill in the templates of --advertise.
type podFlags struct {
	Name     string `name:"pod.name" placeholder:"NAME" help:"{podName}; the host name if empty." group:"pod"`
	Index    string `name:"pod.index" placeholder:"N" help:"{index}; the number at the end of the pod's name if empty." group:"pod"`
	HostIP   string `name:"pod.host-ip" placeholder:"IP" help:"{hostIP}." group:"pod"`
	NodeName string `name:"pod.node-name" placeholder:"NAME" help:"{nodeName}; {externalIP} is that of this node." group:"pod"`
	Service  string `name:"pod.service" placeholder:"NAME" help:"Service whose address {loadBalancer} is; the one with the pod's name if empty." group:"pod"`
}

// endpoint is one listener for clients. Its name pairs it with those of other
// nodes: a client is sent on to the address of the listener it came in by.
type endpoint struct {
	name      string // "" for the only one
	listen    string // "host:port" or ":port"
	advertise string // "host:port"; "" if unknown, see endpoints; with what locate fills in
}

// endpoints reads the flags. Without --advertise a listener with a host is
// advertised as it is, and one on a wildcard has no address: a role that sends
// clients to itself must refuse it then. Templates are filled in, but for those
// that locate asks for.
func (f clientFlags) endpoints() ([]endpoint, error) {
	listens, err := parseNamed("listen", f.Listen)
	if err != nil {
		return nil, err
	}
	if len(listens) == 0 {
		return nil, errors.New("--listen is empty")
	}
	advertised, err := parseNamed("advertise", f.Advertise)
	if err != nil {
		return nil, err
	}
	given := len(advertised) > 0
	pod := f.Pod.withDefaults()
	var points []endpoint
	for _, l := range listens {
		if err := checkAddress(l.addr, true); err != nil {
			return nil, fmt.Errorf("--listen %s: %w", l, err)
		}
		point := endpoint{name: l.name, listen: l.addr}
		if !given {
			if checkAddress(l.addr, false) == nil {
				point.advertise = l.addr
			}
		} else {
			a, ok := take(&advertised, l.name)
			if !ok {
				return nil, fmt.Errorf("--advertise has no address for the listener %s", l)
			}
			if point.advertise, err = pod.fill(a.addr); err != nil {
				return nil, fmt.Errorf("--advertise %s: %w", a, err)
			}
			if err := checkAddress(asked.Replace(point.advertise), false); err != nil {
				return nil, fmt.Errorf("--advertise %s: %w", a, err)
			}
		}
		points = append(points, point)
	}
	if len(advertised) > 0 {
		return nil, fmt.Errorf("--advertise %s: --listen has no listener of that name", advertised[0])
	}
	return points, nil
}

// Templates that only Kubernetes can fill in.
const (
	loadBalancer = "{loadBalancer}"
	externalIP   = "{externalIP}"
)

// asked puts something that is a host in place of them.
var asked = strings.NewReplacer(loadBalancer, "asked", externalIP, "asked")

// bracketed returns a host as it stands in front of a port.
func bracketed(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		return "[" + host + "]"
	}
	return host
}

// advertised is for roles that clients are sent to: each listener needs an
// address for them.
func advertised(points []endpoint) error {
	for _, point := range points {
		if point.advertise == "" {
			return fmt.Errorf("--advertise is missing: clients cannot be sent to %s, so name host:port by which they reach this node", point.listen)
		}
	}
	return nil
}

// named is one element of a list: an address, with or without a name.
type named struct{ name, addr string }

func (n named) String() string {
	if n.name == "" {
		return n.addr
	}
	return n.name + "=" + n.addr
}

// take removes the element of that name from list.
func take(list *[]named, name string) (named, bool) {
	for i, n := range *list {
		if n.name == name {
			*list = append((*list)[:i:i], (*list)[i+1:]...)
			return n, true
		}
	}
	return named{}, false
}

// parseNamed reads one address, or several that each have a name of their own.
func parseNamed(flag, value string) ([]named, error) {
	if strings.TrimSpace(value) == "" {
		return nil, nil
	}
	var list []named
	seen := map[string]bool{}
	parts := strings.Split(value, ",")
	for _, part := range parts {
		part = strings.TrimSpace(part)
		name, addr, ok := strings.Cut(part, "=")
		if !ok {
			name, addr = "", part
			if len(parts) > 1 {
				return nil, fmt.Errorf("--%s %s: each of several addresses needs a name, as in lan=:1863,wan=:1864", flag, value)
			}
		} else if !isName(name) {
			return nil, fmt.Errorf("--%s %s: a listener's name is made of letters, digits and -, not %q", flag, value, name)
		}
		if seen[name] {
			return nil, fmt.Errorf("--%s %s: the name %s stands there twice", flag, value, name)
		}
		seen[name] = true
		list = append(list, named{name, addr})
	}
	return list, nil
}

func isName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return s != ""
}

// checkAddress says what is wrong with host:port. An address to listen on may
// be a wildcard and may leave the port to the system; one to advertise may not.
func checkAddress(addr string, listen bool) error {
	if err := node.CheckAddress(addr); err != nil || listen {
		return err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(port); err != nil || n == 0 {
		return errors.New("port 0 cannot be reached")
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.Unmap().IsUnspecified() {
		return errors.New("nobody can be sent to a wildcard; name the address by which clients reach this node")
	}
	return nil
}

// withDefaults takes from the host what the flags leave open: in a pod the
// host has the pod's name.
func (p podFlags) withDefaults() podFlags {
	if p.Name == "" {
		p.Name, _ = os.Hostname() // an empty name is refused when a template needs it
	}
	if p.Index == "" {
		digits := strings.TrimRight(p.Name, "0123456789")
		if strings.HasSuffix(digits, "-") {
			p.Index = p.Name[len(digits):]
		}
	}
	if p.Service == "" {
		p.Service = p.Name
	}
	return p
}

// fill replaces the templates in s.
func (p podFlags) fill(s string) (string, error) {
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(s, "{")
		b.WriteString(before)
		if !open {
			return b.String(), nil
		}
		template, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", errors.New("a template is not closed by }")
		}
		value, err := p.value(template)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		s = after
	}
}

// value returns what a template stands for.
func (p podFlags) value(template string) (string, error) {
	value, flag := "", ""
	base, isSum := strings.CutSuffix(template, "+index")
	switch {
	case template == "index" || isSum:
		value, flag = p.Index, "pod.index"
	case template == "podName":
		value, flag = p.Name, "pod.name"
	case template == "hostIP":
		value, flag = p.HostIP, "pod.host-ip"
	case template == "nodeName" || template == "externalIP":
		value, flag = p.NodeName, "pod.node-name"
	case template == "loadBalancer":
		value, flag = p.Service, "pod.service"
	default:
		return "", fmt.Errorf("{%s} is no template", template)
	}
	if value == "" {
		return "", fmt.Errorf("{%s} is unknown here: set --%s", template, flag)
	}
	switch template {
	case "loadBalancer", "externalIP":
		return "{" + template + "}", nil // for locate
	case "hostIP":
		return bracketed(value), nil
	}
	if !isSum {
		return value, nil
	}
	first, err := strconv.ParseUint(base, 10, 16)
	if err != nil {
		return "", fmt.Errorf("{%s} is no template", template)
	}
	index, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return "", fmt.Errorf("--pod.index %q is no number", value)
	}
	return strconv.FormatUint(first+index, 10), nil
}
