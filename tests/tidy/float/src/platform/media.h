double sharpness;
