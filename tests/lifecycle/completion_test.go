package lifecycle

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// TestCompletion asks a bash with mocker's script what the tab key would give.
func TestCompletion(t *testing.T) {
	drive.MockersOwn(t, "runc has no such script")
	b := newBox(t, forever)
	drive.OK(t, "run", "--detach", "--bundle", b.bundle, b.id)
	defer drive.OK(t, "delete", "--force", b.id)
	mocker := drive.Mocker(t)
	for words, want := range map[string]string{
		"sta":                         "start state",
		"state " + b.id[:len(b.id)-1]: b.id,
		"delete --f":                  "--force",
		"kill " + b.id + " K":         "KILL",
		"create --bundle /":           "",
	} {
		script := fmt.Sprintf(`source <("$1" completion bash)
			words="mocker %s"; COMP_WORDS=($words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
			_mocker; echo -n "${COMPREPLY[*]}"`, words)
		cmd := exec.Command("bash", "-c", script, "bash", mocker)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(mocker)+":"+os.Getenv("PATH"))
		got, err := cmd.CombinedOutput()
		if string(got) != want || err != nil {
			t.Errorf("%q: got %q, %v; want %q", words, got, err, want)
		}
	}
}
