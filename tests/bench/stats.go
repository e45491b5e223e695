package main

import "slices"

// median of a list that is not empty.
func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	n := len(list)
	return (list[(n-1)/2] + list[n/2]) / 2
}

// ratio is the median of the ratios of two runtimes, turn by turn: a machine
// that gets slower for a while does so for both. There is none without turns
// that both have taken.
func ratio(own, peer []float64) (float64, bool) {
	var list []float64
	for i := range min(len(own), len(peer)) {
		if peer[i] > 0 {
			list = append(list, own[i]/peer[i])
		}
	}
	if len(list) == 0 {
		return 0, false
	}
	return median(list), true
}

// growth compares the last tenth of a list with the first.
func growth(list []float64) (float64, bool) {
	tenth := len(list) / 10
	if tenth < 3 {
		return 0, false
	}
	return median(list[len(list)-tenth:]) / median(list[:tenth]), true
}
