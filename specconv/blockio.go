package specconv

import (
	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func convertBlockIO(from *specs.LinuxResources, to *cgroups.Resources) (err error) {
	const at = "linux.resources.blockIO."
	b := from.BlockIO
	if b == nil {
		return nil
	}
	var bad problems
	to.BlkioWeight, err = ioWeight(at+"weight", b.Weight)
	bad.add(err)
	to.BlkioLeafWeight, err = ioWeight(at+"leafWeight", b.LeafWeight)
	bad.add(err)
	for i := range b.WeightDevice {
		d := &b.WeightDevice[i]
		path := item(at+"weightDevice", i)
		bad.add(checkBlockDevice(path, d.LinuxBlockIODevice))
		if d.Weight == nil && d.LeafWeight == nil {
			bad.add(lacks(path, "neither weight nor leafWeight is given"))
		}
		weight, err := ioWeight(path+".weight", d.Weight)
		bad.add(err)
		leaf, err := ioWeight(path+".leafWeight", d.LeafWeight)
		bad.add(err)
		to.BlkioWeightDevice = append(to.BlkioWeightDevice, cgroups.NewWeightDevice(d.Major, d.Minor, weight, leaf))
	}
	for _, t := range []struct {
		name  string
		given []specs.LinuxThrottleDevice
		to    *[]*cgroups.ThrottleDevice
	}{
		{"throttleReadBpsDevice", b.ThrottleReadBpsDevice, &to.BlkioThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", b.ThrottleWriteBpsDevice, &to.BlkioThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", b.ThrottleReadIOPSDevice, &to.BlkioThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice, &to.BlkioThrottleWriteIOPSDevice},
	} {
		for i, d := range t.given {
			bad.add(checkBlockDevice(item(at+t.name, i), d.LinuxBlockIODevice))
			*t.to = append(*t.to, cgroups.NewThrottleDevice(d.Major, d.Minor, d.Rate))
		}
	}
	return bad.err()
}

// ioWeight is a weight, 0 where none is given (config-linux.md, "Block IO").
func ioWeight(at string, given *uint16) (uint16, error) {
	if given == nil {
		return 0, nil
	}
	if w := *given; w != 0 && (w < 10 || w > 1000) {
		return 0, refuse(at, w, "not between 10 and 1000")
	}
	return *given, nil
}

func checkBlockDevice(at string, d specs.LinuxBlockIODevice) error {
	if err := checkMajor(at, d.Major); err != nil {
		return err
	}
	return checkMinor(at, d.Minor)
}
