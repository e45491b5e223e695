package specconv

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// units are the suffixes of a size, without a "b" or "ib" behind them.
const units = "kmgtp"

// parseBytes reads a size as docker does: a number, and behind it b, k, m, g,
// t or p in either case, which are powers of 1024.
func parseBytes(text string) (int64, error) {
	lower := strings.ToLower(text)
	number := strings.TrimRight(lower, "bi"+units)
	unit := strings.TrimSuffix(lower[len(number):], "b")
	if len(unit) == 2 {
		unit = strings.TrimSuffix(unit, "i")
	}
	shift := 0
	if unit != "" {
		shift = 10 * (1 + strings.Index(units, unit))
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || len(unit) > 1 || shift == 0 && unit != "" || strings.Trim(number, "0123456789.") != "" {
		return 0, errors.New("not a size such as 512m or 1g")
	}
	n = math.Ldexp(n, shift)
	if n >= 1<<62 {
		return 0, errors.New("too large")
	}
	return int64(n), nil
}

// leastMemory is docker's.
const leastMemory = 6 << 20

func parseMemory(text string) (int64, error) {
	n, err := parseBytes(text)
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
