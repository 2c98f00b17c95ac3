module github.com/monarch-msn/monarch/msnp

go 1.26.0
