using StorySync.Samples.Evaluate;

return await EvaluateCommand.Create().Parse(args).InvokeAsync();
