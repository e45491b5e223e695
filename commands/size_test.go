package commands

import "testing"

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1073741824": 1 << 30, "32b": 32, "32B": 32, "64k": 64 << 10, "64kb": 64 << 10, "64KiB": 64 << 10,
		"512m": 512 << 20, "512 MB": 512 << 20, "1.5g": 3 << 29, "1.5 GiB": 3 << 29, "2t": 2 << 40, "1p": 1 << 50, ".5k": 512, "1.7": 1,
		"": -1, "m": -1, "-1": -1, "-5m": -1, "1e3": -1, "0x10": -1, "1_000": -1, "5x": -1, "5mm": -1, "5bb": -1, "5ki": -1,
		"5  m": -1, "1.2.3": -1, "1,5g": -1, "inf": -1, "nan": -1, "8388608t": -1, "99999999999999999999": -1, "5 ": 5, " 5": -1,
	} {
		got, err := parseSize(text)
		if want == -1 && err == nil || want != -1 && (err != nil || got != want) {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
}
