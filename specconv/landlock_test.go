package specconv

import (
	"reflect"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

func TestLandlock(t *testing.T) {
	type rules = []config.LandlockRule
	for text, want := range map[string]any{
		"rx:/ rw:/tmp":     rules{{Read: true, Execute: true, Path: "/"}, {Read: true, Write: true, Path: "/tmp"}},
		" xwr:/a:b/../c\n": rules{{Read: true, Write: true, Execute: true, Path: "/c"}},
		"":                 "no rule",
		"/tmp":             "want RIGHTS:PATH",
		":/tmp":            "want RIGHTS:PATH",
		"rd:/":             `'d' is none of r, w and x`,
		"rr:/":             `'r' is given twice`,
		"r:tmp":            `"tmp" is not an absolute path`,
		"r:":               `"" is not an absolute path`,
		"r:/\x00":          "is not an absolute path",
	} {
		spec := exampleDocument(t).spec(t)
		spec.Annotations = map[string]string{landlockKey: text}
		cfg := &config.Config{}
		err := convertLandlock(spec, cfg)
		if wantError, ok := want.(string); ok {
			if err == nil || !strings.Contains(err.Error(), "config.json: annotations."+landlockKey+": ") || !strings.Contains(err.Error(), wantError) {
				t.Errorf("%q: want %q, got %v", text, wantError, err)
			}
		} else if err != nil || !reflect.DeepEqual(cfg.Traits.Landlock, want) {
			t.Errorf("%q: got %+v, %v", text, cfg.Traits.Landlock, err)
		}
	}
}
