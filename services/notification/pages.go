package notification

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/monarch-msn/monarch/msnp"
)

// handleURL names the page of a service, and the form that logs in to it.
//
//	C: URL TrID service [param]    S: URL TrID page login [siteid]
func (s *session) handleURL(_ context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	service := s.dialect.Service(p.Word())
	var param string
	if p.More() {
		param = pageParam(p.Word())
	}
	s.dialect.AppendURL(s.Lines(), cmd.TrID, s.svc.cfg.page(service, param), s.svc.cfg.LoginURL, uint64(s.svc.cfg.SiteID))
	return nil
}

// paramPlace is where in a page's address the parameter of URL goes: whom to
// write to, the language.
const paramPlace = "{param}"

// page returns the address of a service's page.
func (c *Config) page(service, param string) string {
	return strings.ReplaceAll(cmp.Or(c.Pages[service], c.PageURL), paramPlace, param)
}

// pageParam encodes a client's parameter so that it stands for itself anywhere
// in an address. What no service has use for is left out.
func pageParam(arg []byte) string {
	text := msnp.Nick(arg).Decode()
	if len(text) > msnp.MaxEmail {
		return ""
	}
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// validatePages returns all faults of the addresses that clients are told.
func (c *Config) validatePages() error {
	var faults []error
	check := func(flag, page string) {
		if page == "" {
			return // the default
		}
		u, err := url.Parse(page)
		switch {
		case err != nil || strings.ContainsFunc(page, func(r rune) bool { return r <= ' ' || r > '~' }):
			faults = append(faults, fmt.Errorf("%s: %q is not the address of a page", flag, page))
		case u.Host == "" && !strings.HasPrefix(page, "/"):
			faults = append(faults, fmt.Errorf("%s: %q is neither http://... nor a path", flag, page))
		}
	}
	check("download-url", c.DownloadURL)
	check("info-url", c.InfoURL)
	check("page-url", c.PageURL)
	check("login-url", c.LoginURL)
	for _, service := range slices.Sorted(maps.Keys(c.Pages)) {
		if !slices.Contains(msnp.Services(), service) {
			faults = append(faults, fmt.Errorf("pages: %q is no service, there are %s", service, strings.Join(msnp.Services(), ", ")))
			continue
		}
		if c.Pages[service] == "" {
			faults = append(faults, fmt.Errorf("pages: %s has no address", service))
		}
		check("pages: "+service, c.Pages[service])
	}
	return errors.Join(faults...)
}
