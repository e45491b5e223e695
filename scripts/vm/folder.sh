#!/usr/bin/env bash
# Prints the folder of the kernel that KERNEL names: see packages.sh.
name=${KERNEL%.deb}
[[ $KERNEL = *.deb ]] && name=${name##*/}
echo "dist/vm/${name//\//-}"
