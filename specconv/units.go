package specconv

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// ParseSize reads a number of bytes as docker and runc do: "1073741824",
// "512m", "1.5 GiB", "64kb", each unit 1024 of the one before, in any case.
func ParseSize(text string) (int64, error) {
	wrong := errors.New("not a size such as 512m or 1.5g")
	end := strings.LastIndexAny(text, "0123456789.") + 1
	number, unit := text[:end], strings.ToLower(strings.TrimPrefix(text[end:], " "))
	if strings.Trim(number, "0123456789.") != "" {
		return 0, wrong // ParseFloat reads 1e3, 0x10 and -5 too
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, wrong
	}
	if unit != "" && unit != "b" {
		power := strings.IndexByte("kmgtp", unit[0]) + 1
		if rest := unit[1:]; power == 0 || rest != "" && rest != "b" && rest != "ib" {
			return 0, wrong
		}
		value *= math.Pow(1024, float64(power))
	}
	if value >= 1<<63 {
		return 0, errors.New("too large")
	}
	return int64(value), nil
}

// leastMemory is docker's.
const leastMemory = 6 << 20

func parseMemory(text string) (int64, error) {
	n, err := ParseSize(text)
	if err == nil && n != 0 && n < leastMemory {
		err = errors.New("less than 6m, in which hardly anything starts")
	}
	return n, err
}

// parseCPUs reads a number of CPUs, and gives the microseconds of CPU time in
// each cpuPeriod.
func parseCPUs(text string) (int64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, errors.New("not a number of CPUs such as 0.5 or 2")
	}
	// The kernel's least quota is a millisecond (sched-bwc).
	if n != 0 && n < 0.01 || n > 1<<20 {
		return 0, errors.New("not between 0.01 and the number of CPUs; 0 is no limit")
	}
	return int64(math.Round(n * cpuPeriod)), nil
}
