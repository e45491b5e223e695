package main

// goal is what issue 8 asks for of a phase: the ratio to crun and to runc.
type goal struct{ crun, runc float64 }

// goals of the phases, without pauses and without Docker's settings.
var goals = map[string]goal{
	sum:              {0.5, 0.22},
	"run":            {0.7, 0.3},
	"create":         {0.6, 0.25},
	"start":          {0.55, 0.35},
	"state":          {0.55, 0.35},
	"kill":           {0.55, 0.35},
	"delete":         {0.55, 0.35},
	"exec":           {0.5, 0.2},
	"delete --force": {0.6, 0.05},
}

// hard is the goal of the sum where there are pauses, or Docker's settings.
var hard = goal{0.5, 0.2}

// goalOf gives the goal of a phase in a setting; 0 is none.
func goalOf(s *Series, phase, peer string) float64 {
	g := goals[phase]
	if s.Pause > 0 || s.Docker {
		g = goal{}
		if phase == sum {
			g = hard
		}
	}
	switch peer {
	case "crun":
		return g.crun
	case "runc":
		return g.runc
	}
	return 0
}

// axis is a row of the table of what is no phase.
type axis struct {
	name string
	most float64 // that the first runtime may have; 0 is no goal
	goal string  // in words, where it is another kind of goal
	// reached decides where it is another kind, by the runtimes' values, if
	// those are there that it takes.
	reached func(own float64, peers map[string]float64) (reached, ok bool)
}

func axes() []axis {
	list := []axis{
		{name: waiting, most: 0.5},
		{name: smallest, most: 512},
	}
	for _, command := range commands {
		list = append(list, axis{name: peakOf + command, most: 8})
	}
	return append(list,
		axis{name: size, most: 8},
		axis{name: callPlain},
		axis{name: callDocker, goal: "not slower than another", reached: func(own float64, peers map[string]float64) (bool, bool) {
			for _, peer := range peers {
				if own > peer*1.01 { // as exact as it can be measured
					return false, true
				}
			}
			return true, len(peers) > 0
		}},
		axis{name: callRatio, most: 1.15},
		axis{name: callOne},
		axis{name: throughput, goal: "twice crun's", reached: func(own float64, peers map[string]float64) (bool, bool) {
			return own >= 2*peers["crun"], peers["crun"] > 0
		}},
		axis{name: listing, most: 60},
		axis{name: growing, most: 1.2},
	)
}

// floorGoal is how many times the floor run may take.
const floorGoal = 2
