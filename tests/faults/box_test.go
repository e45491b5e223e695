package faults

import "testing"

// TestBoxKilled: a container with a bundle of its own takes it along,
// wherever in the making of both mocker is killed.
func TestBoxKilled(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	before := machine{seen: look(t)}
	args := []string{"run", "--detach", "--network", "none", "--name", id, "sleep", "1000"}
	whole := trace(t, nobody, 0, args...)
	if whole.Code != 0 {
		t.Fatal(whole)
	}
	before.cleaned(t)
	for _, who := range []victim{mocker, inside} {
		killed := 0
		list := spread(whole.Stops[who])
		for _, n := range list {
			res := trace(t, who, n, args...)
			if res.Killed {
				killed++
			}
			truthful(t)
			before.cleaned(t)
			if t.Failed() {
				t.Fatalf("with %s killed at stop %d of %d: %v", who, n, whole.Stops[who], res)
			}
		}
		if killed < len(list)/2 {
			t.Errorf("%s was killed only %d times of %d: the test does not what it says", who, killed, len(list))
		}
	}
}

// TestBoxDeleteKilled: a delete that was killed while it removed the bundle
// can be repeated.
func TestBoxDeleteKilled(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	before := machine{seen: look(t)}
	made := func() {
		if r := trace(t, nobody, 0, "run", "--detach", "--network", "none", "--name", id, "sleep", "1000"); r.Code != 0 {
			t.Fatal(r)
		}
	}
	made()
	whole := trace(t, nobody, 0, "delete", "--force", id)
	before.untouched(t)
	for _, n := range spread(whole.Stops[mocker]) {
		made()
		res := trace(t, mocker, n, "delete", "--force", id)
		truthful(t)
		before.cleaned(t)
		if t.Failed() {
			t.Fatalf("killed at stop %d of %d: %v", n, whole.Stops[mocker], res)
		}
	}
}
