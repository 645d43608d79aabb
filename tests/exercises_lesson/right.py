"""What the solution cells of this lesson would hold."""


def center(x):
    return x - x.mean(dim=0)


def freeze(model):
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    return model


class Scaler:
    def fit(self, x):
        self.mean, self.std = x.mean(dim=0), x.std(dim=0)
        return self

    def transform(self, x):
        return (x - self.mean) / self.std
