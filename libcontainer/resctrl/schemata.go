package resctrl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// compare makes sure that a class of service that is there already has the
// shares that are asked for.
func compare(dir string, wanted []string) error {
	if len(wanted) == 0 {
		return nil
	}
	file := filepath.Join(dir, "schemata")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	has, wants := shares(string(data)), shares(strings.Join(wanted, "\n"))
	for share, value := range wants {
		if has[share] != value {
			return fmt.Errorf("linux.intelRdt: the class of service %s is there already, and its schemata %q is not the one asked for, %q",
				dir, oneLine(string(data)), strings.Join(wanted, " "))
		}
	}
	return nil
}

// shares takes lines RESOURCE:ID=VALUE;ID=VALUE apart: "L3:0" has "7f0". The
// last value counts, as if the lines had been written one after the other.
func shares(schemata string) map[string]string {
	list := map[string]string{}
	for line := range strings.Lines(schemata) {
		resource, values, _ := strings.Cut(strings.TrimSpace(line), ":")
		for pair := range strings.SplitSeq(values, ";") {
			id, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
			if ok {
				list[resource+":"+number(id)] = number(value)
			}
		}
	}
	return list
}

// number is a number, in whatever base, as it compares: the kernel pads and
// writes small letters.
func number(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	trimmed := strings.TrimLeft(strings.TrimPrefix(text, "0x"), "0")
	if trimmed == "" && text != "" {
		return "0"
	}
	return trimmed
}

func oneLine(schemata string) string { return strings.Join(strings.Fields(schemata), " ") }
