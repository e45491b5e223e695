package cgroups

import (
	"errors"
	"fmt"
	"strings"

	oci "github.com/opencontainers/cgroups"
)

// Files of cgroup v2 hold one value, or a line for each device, which is
// written by its line alone. A line can be taken out only by writing the
// device with what is the same as none (cgroup-v2.rst).

// noLine is what stands for none in a file with a line for each device.
func noLine(file string) string {
	switch file {
	case "io.max":
		return "rbps=max wbps=max riops=max wiops=max"
	case "io.weight", "io.bfq.weight":
		return "default"
	case "io.latency":
		return "target=0"
	case "misc.max":
		return "max"
	}
	return "" // of every device that there is, it always has a line
}

// perDevice reports whether a file has a line for each device.
func perDevice(file string) bool { return noLine(file) != "" || file == "rdma.max" }

// snapshot reads the files that are going to be written. What cannot be read
// cannot be put back.
func (c *Cgroup) snapshot(list []setting) map[string]string {
	before := make(map[string]string, len(list))
	for _, s := range list {
		files := []string{s.file}
		if s.file == "cpu.idle" {
			files = append(files, "cpu.weight") // is lost to an idle cgroup
		}
		for _, file := range files {
			if text, err := oci.ReadFile(c.paths[""], file); err == nil {
				before[file] = text
			}
		}
	}
	return before
}

// putBack makes files what they were. Values hold each other fast, so some
// move only after others have.
func (c *Cgroup) putBack(before map[string]string) error {
	var errs []error
	for range 3 {
		errs = nil
		for file, text := range before {
			if err := c.putBackFile(file, text); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", file, err))
			}
		}
		if len(errs) == 0 {
			return nil
		}
	}
	return errors.Join(errs...)
}

func (c *Cgroup) putBackFile(file, text string) error {
	dir := c.paths[""]
	now, err := oci.ReadFile(dir, file)
	if err != nil || now == text {
		return err
	}
	if !perDevice(file) {
		value := strings.TrimSuffix(text, "\n")
		if value == "" {
			value = "\n" // of cpuset.cpus, for example; a write of nothing is none
		}
		return plain(oci.WriteFile(dir, file, value))
	}
	var errs []error
	was := byDevice(text)
	for device := range byDevice(now) {
		if _, ok := was[device]; !ok && noLine(file) != "" {
			errs = append(errs, plain(oci.WriteFile(dir, file, device+" "+noLine(file))))
		}
	}
	for device, value := range was {
		errs = append(errs, plain(oci.WriteFile(dir, file, device+" "+value)))
	}
	return errors.Join(errs...)
}

// byDevice takes the lines of a file apart, by their first word.
func byDevice(text string) map[string]string {
	lines := make(map[string]string)
	for line := range strings.Lines(text) {
		device, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		lines[device] = value
	}
	return lines
}
