package commands

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// parseSize reads a number of bytes as docker and runc do: "1073741824",
// "512m", "1.5 GiB", "64kb", each unit 1024 of the one before, in any case.
func parseSize(text string) (int64, error) {
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
