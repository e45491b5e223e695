package faults

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestCallsFail makes the K-th of each of the system calls that a create is
// made of fail, wherever it is made. The create has to name the step and to
// take back everything by itself: no delete follows.
func TestCallsFail(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing: apt-get install strace")
	}
	bundle, before := faultBundle(t)
	step := regexp.MustCompile(`^mocker: (create (state|container) directory|lock|cgroup|birth|attach to cgroup|namespaces|session keyring|rootfs|` +
		`prestart hooks|change root|console|host name|sysctl|protect paths|find program|prepare process|save|seal)`)
	for _, c := range []struct {
		call  string
		errno string
		which []int // the K of each run; calls are counted for each thread
	}{
		{"clone3", "ENOSYS", []int{1}},
		{"flock", "ENOLCK", []int{1}},
		{"setsid", "EPERM", []int{1}},
		{"mkdirat", "ENOSPC", []int{1, 2}},
		{"mknodat", "ENOSPC", []int{1, 2, 4}},
		{"symlinkat", "EROFS", []int{1, 5}},
		{"openat2", "EMFILE", []int{1, 2, 10, 30}},
		{"fsopen", "EPERM", []int{1, 3}},
		{"fsconfig", "EINVAL", []int{1, 4, 9}},
		{"fsmount", "EPERM", []int{1, 3}},
		{"move_mount", "EPERM", []int{1, 2, 5, 20}},
		{"open_tree", "EPERM", []int{1, 3}},
		{"mount_setattr", "EPERM", []int{1, 2, 5}},
		{"mount", "EPERM", []int{1}},
		{"pivot_root", "EINVAL", []int{1}},
		{"umount2", "EBUSY", []int{1}},
		{"fchdir", "EACCES", []int{1}},
		{"chdir", "EACCES", []int{1}},
		{"sethostname", "EPERM", []int{1}},
		{"keyctl", "EDQUOT", []int{1}},
		{"close_range", "EINVAL", []int{1, 2}},
		{"faccessat2", "EACCES", []int{1}},
		{"renameat", "ENOSPC", []int{1}},
	} {
		for _, k := range c.which[:drive.Rounds(len(c.which), 1)] {
			t.Run(fmt.Sprintf("%s,%d", c.call, k), func(t *testing.T) {
				// -D: strace is the grandchild, mocker the child.
				r := drive.Exec(t, "strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace="+c.call,
					"-e", fmt.Sprintf("inject=%s:error=%s:when=%d", c.call, c.errno, k),
					drive.Mocker(t), "create", "--bundle", bundle, id)
				if r.Code == 0 {
					drive.OK(t, "delete", "--force", id)
					t.Error("create succeeded: the call is not needed, or not made so often")
				} else if lines := strings.Split(strings.TrimSpace(r.Stderr), "\n"); r.Code != 1 || !step.MatchString(lines[len(lines)-1]) {
					t.Error(r) // a warning may come before the error
				}
				before.untouched(t)
			})
		}
	}
}
