module tcpecho.example/echo

go 1.19
