package seccomp

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// FuzzCompile: whatever a section says, it is an error with a path or a
// program that the kernel would take, and either comes soon. The program and
// a plain reading of the profile agree about some calls.
func FuzzCompile(f *testing.F) {
	text, err := json.Marshal(docker(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, uint64(1))
	r := newRandom(9)
	for range 20 {
		text, err := json.Marshal(r.profile())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, r.Uint64())
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		var spec specs.LinuxSeccomp
		if json.Unmarshal(text, &spec) != nil {
			return
		}
		r := newRandom(seed)
		goarch := pick(r, []string{"amd64", "arm64"})
		start := time.Now()
		result, err := Compile(&spec, goarch)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
		if err != nil {
			if bad := (*PropertyError)(nil); !errors.As(err, &bad) {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		if result == nil {
			return
		}
		if err := valid(result.Filter); err != nil {
			t.Fatal(err)
		}
		if len(spec.Syscalls) == 0 {
			return
		}
		for range 20 {
			c := r.call(&spec)
			if got, want := Answer(result.Filter, c), evaluate(&spec, goarch, c); got != want {
				t.Errorf("call %+v: %s, want %s", c, Describe(got), Describe(want))
			}
		}
	})
}
