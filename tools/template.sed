# A unit becomes its template: for one host of many, whose settings are in /etc/dane-mailgraph/NAME.conf.
s|^\(ExecStart=.*/bin/dane-mailgraph\) |\1 --config /etc/dane-mailgraph/%i.conf |
/^Description=/s|$| (%i)|
s|^After=dane-mailgraph\.service|After=dane-mailgraph@%i.service|
s|^\(\(State\|Cache\)Directory=dane-mailgraph\)\>|\1/%i|
