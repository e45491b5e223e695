//go:build !killpoints

package trace

// What kill.go does is not in a mocker that ships: nothing is left of these.

type point struct{}

func begun(_, _ string) point { return point{} }

func (point) ended() {}
