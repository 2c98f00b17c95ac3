package msnp
