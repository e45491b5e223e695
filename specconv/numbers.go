package specconv

import (
	"strconv"
	"strings"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// numberSet reads a list of processors or of memory nodes, "0-3,7", with the
// white space and the empty elements that runc takes. No number may be limit
// or more. "" is nil.
func numberSet(at, list string, limit uint64) (config.Bits, error) {
	if list == "" {
		return nil, nil
	}
	var set config.Bits
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 32)
		b, err2 := strconv.ParseUint(last, 10, 32)
		if err1 != nil || err2 != nil || a > b {
			return nil, refuse(at, list, "%q is neither a number nor a range such as 0-3", part)
		}
		if b >= limit {
			return nil, refuse(at, list, "more than %d, the most that a kernel can have", limit-1)
		}
		for n := a; n <= b; n++ {
			for uint64(len(set)) <= n/64 {
				set = append(set, 0)
			}
			set[n/64] |= 1 << (n % 64)
		}
	}
	if set == nil {
		return nil, refuse(at, list, "no number in it")
	}
	return set, nil
}
