call("getGood"); call("getOpen"); call("getWork"); call("getUnscoped"); call("putSilent");
