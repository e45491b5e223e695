package process

import (
	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// Grant takes out of p's capabilities those that mocker itself does not have
// and so cannot give, and returns them, one bit each: the specification wants
// a warning for them and no failure (config.md, "Linux Process").
func Grant(in *inside.Child, p *config.Process) (missing uint64, err error) {
	own, err := in.Capget()
	if err != nil {
		return 0, err
	}
	c := &p.Caps
	for _, set := range []*uint64{&c.Effective, &c.Permitted, &c.Inheritable, &c.Ambient} {
		missing |= *set &^ own.Permitted
		*set &= own.Permitted
	}
	return missing, nil
}
