package main

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 100, 2}, 3},
	} {
		before := append([]float64(nil), c.list...)
		if got := median(c.list); got != c.want {
			t.Errorf("median of %v: %v, not %v", before, got, c.want)
		}
		for i := range before {
			if c.list[i] != before[i] {
				t.Errorf("%v was sorted in place: the turns are no longer pairs", before)
			}
		}
	}
}

func TestRatio(t *testing.T) {
	for _, c := range []struct {
		name      string
		own, peer []float64
		want      float64
		ok        bool
	}{
		{"pairs, not medians", []float64{1, 10, 100}, []float64{2, 20, 100}, 0.5, true},
		{"a turn that the peer did not take", []float64{1, 50}, []float64{4}, 0.25, true},
		{"a turn that nobody knows the time of", []float64{1, 1}, []float64{0, 2}, 0.5, true},
		{"no turns", []float64{1}, nil, 0, false},
	} {
		if got, ok := ratio(c.own, c.peer); got != c.want || ok != c.ok {
			t.Errorf("%s: %v %v, not %v %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestGrowth(t *testing.T) {
	list := make([]float64, 100)
	for i := range list {
		list[i] = 10
		if i >= 90 {
			list[i] = 12
		}
	}
	if got, ok := growth(list); !ok || math.Abs(got-1.2) > 1e-9 {
		t.Errorf("from 10 to 12: %v %v", got, ok)
	}
	if got, ok := growth(list[:29]); ok {
		t.Errorf("tenths of two are compared: %v", got)
	}
}

func TestPrivateOf(t *testing.T) {
	smaps := "7ff0-7fff ---p 00000000 00:00 0 [rollup]\nRss: 4096 kB\nShared_Clean: 900 kB\nPrivate_Clean: 512 kB\nPrivate_Dirty: 256 kB\nPrivate_Hugetlb: 256 kB\n"
	if got := privateOf(smaps); got != 1 {
		t.Errorf("%v MiB, not 1", got)
	}
}
